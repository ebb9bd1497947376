"""What surrounds the pipeline in a live process: who asks, who is told, and how is it?"""
