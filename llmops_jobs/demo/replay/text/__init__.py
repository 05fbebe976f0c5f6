"""What is asked, retrieved, answered and complained about: the project's own templates.

Nothing here was taken from anybody's traffic. A text shows its call's defect, because scorers,
clustering and feedback need something true to find.
"""
