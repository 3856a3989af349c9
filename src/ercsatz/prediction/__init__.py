"""The command ``predict``: find the classifier, read the dialogues, show or write what is predicted."""
