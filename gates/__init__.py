"""Is this bundle fit for shadow, is it fit for live, and why?"""
