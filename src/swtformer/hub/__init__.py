"""What both kinds of networks have of the Hugging Face hub: its mixin, our model card, and the way there.

Credentials are the business of huggingface_hub alone.
"""
