"""Whether a card can run on this machine, and why not, before anything is loaded or fetched.

    machine     what there is: devices, driver, packages, host memory, the Hub's cache and its disk
    hub         where the files of a Hub id lie in its cache, and the command that fetches them
    weights     whether a folder is whole, what kind of files it has, how many parameters they hold
    memory      what a card needs on a device, by estimate, and which placements would fit
    examine     a card's checks, each with its remedy

Nothing here imports torch or asks the network.
"""
