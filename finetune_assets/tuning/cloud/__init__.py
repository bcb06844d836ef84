"""What tuning needs to know of the cloud: where it works, what models can do and cost, and Google's clients.

Here belong settings, dated facts and clients. Who submits a job stands in `tuning/backends`.
"""
