"""A developer's machine and the demo: the embedded servers, nothing to configure."""

from config.env import env
from config.settings.base import *  # noqa: F403

DEBUG = env.flag("DEBUG", True)
env.check()
