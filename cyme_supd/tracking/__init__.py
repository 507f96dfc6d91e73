"""One line with which a Celery application has every task it publishes recorded.

::

    app.config_from_object(Config(queues=["mail", "images"]))

It needs Celery and nothing of a branch.
"""

from cyme_supd.tracking.config import Config
from cyme_supd.tracking.setup import config_of, setup_app
from cyme_supd.tracking.suite import make_tests

__all__ = ["Config", "config_of", "make_tests", "setup_app"]
