"""The comfyui engine: a workflow in ComfyUI's API format, run by the server that production runs it on."""
