"""After tuning, in Google's cloud: registered models, endpoints with their traffic, batch prediction, live probes.

Here belongs what is deployed and how it is asked in bulk. How one question goes over a wire is in `serving/engines`;
who submits tuning jobs is in `tuning/backends`.
"""
