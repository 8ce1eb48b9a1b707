"""The screen of `vmio top`; the only home of Textual."""
