"""A ninth stage, whole in this folder: how much light each video of a batch holds. The last line registers it.

Imported in processes of their own only: a stage stays registered.
"""

from tests.toy_stage.stage import BRIGHTNESS
from videobert.stages import register_stage

register_stage(BRIGHTNESS)
