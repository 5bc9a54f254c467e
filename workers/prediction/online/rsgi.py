"""The application that granian serves: `workers.prediction.online.rsgi:application`."""

from shared import settings, telemetry
from workers import numeric_threads
from workers.prediction.online import measures

config = settings.load()
# Before a library reads it: many small predictions at once are faster than one that takes all cores.
numeric_threads.limit(config)
telemetry.configure(config.log_level)
measures.share()

from workers.prediction.online.application import Application  # noqa: E402 - it loads numeric libraries.

application = Application(config)
