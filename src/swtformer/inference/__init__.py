"""A network on photographs: predictor, views, windows. Stages and the app share it."""
