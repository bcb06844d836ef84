"""The only room that trains: run as a subprocess and as the trainer container's entry point.

`base_model` pre-trains the embedded base from scratch, `adapter` trains LoRA adapters on any base, `supervise` starts
`adapter` and starts it anew with a smaller batch when memory runs out.
"""
