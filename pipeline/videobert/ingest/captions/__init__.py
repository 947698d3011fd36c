"""Captions: what a file next to a video says, and when. One module per format; `read.py` knows them by their form."""

from videobert.ingest.captions.cues import Cue, clean_cues
from videobert.ingest.captions.encodings import decode_text
from videobert.ingest.captions.read import MAX_CAPTION_BYTES, Captions, parse_captions, read_captions

__all__ = ["MAX_CAPTION_BYTES", "Captions", "Cue", "clean_cues", "decode_text", "parse_captions", "read_captions"]
