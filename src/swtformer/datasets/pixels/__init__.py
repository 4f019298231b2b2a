"""What image files hold, decoded as they store it: formats, bands, depths, pages."""
