"""Reading ultrasound videos with OpenCV: what preprocess makes clips from, and predict too, so that both see the same pixels."""
