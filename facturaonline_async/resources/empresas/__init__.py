"""Empresas: the companies that an account invoices for."""
