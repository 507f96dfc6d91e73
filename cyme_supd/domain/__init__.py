"""What Cyme knows about workers, and nothing about how it is done.

Pure: values in, values out. Imports only :mod:`cyme_supd.errors` and the
standard library's data types; a test holds it to that.
"""
