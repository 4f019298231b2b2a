"""The browser app: one page to try a run's model on a photograph, one to review its pseudo-masks.

`study` and `reviewing` hold what the pages do, without a browser; `segment_page` and `review_page` put
widgets around it, and `server` serves them. Gradio is imported by these three only.
"""
