"""Dry weights: a pipeline at full size with scaled random weights, built where it is to run, without a download.

    architectures   the sizes of published models, as data
    skeleton        a folder as `save_pretrained` writes it, without the weights: configurations and tokenizers
    build           the pipeline of such a folder, its weights drawn on the device

Times, memory and "does it fit" are those of the real model; its pictures mean nothing.
"""
