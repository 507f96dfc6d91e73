"""All that has to do with supervisord, on both sides of its socket.

Inside it, importing nothing but the standard library and supervisor:
``rpcinterface`` and the modules it uses (``groups guard journal logs owning
signals stopping wake``). Outside: ``client programs section conf``, and
``stock host`` for a supervisord that was there before Cyme.
"""

#: The group of the branch's own programs.
TREE = "cyme"
#: In the environment of everything supervisord starts: who its parent is.
SUPERVISORD_PID = "CYME_SUPERVISORD_PID"
#: In the environment of every worker's program, with its name.
MARKER = "CYME_PROGRAM"
#: What Cyme's files are called by in a folder that is not its own: ``cyme.conf``
#: is the tree's, ``cyme.<name>.conf`` a worker's.
PREFIX = "cyme."
