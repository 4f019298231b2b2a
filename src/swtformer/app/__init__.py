"""The browser app: one page to try a run's model on a photograph, one to review its pseudo-masks.

`study` and `reviewing` do the work without a browser; `segment_page` and `review_page` put widgets around it,
and `server` serves them. Only these three import Gradio.
"""
