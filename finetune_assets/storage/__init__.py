"""Where things are kept: the artifact store, the database, leases and heads.

Here belongs what must survive a crash. No task knowledge, no models, nothing from another room. Import the modules
themselves: this package imports none of them, so that reading a path does not load SQLAlchemy.
"""
