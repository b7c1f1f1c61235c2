"""Frameworks that read their model from Switchyard, one module each.

They import their framework, so import the one you use: `switchyard_client.integrations.langchain`.
Each has an extra of the same name: `pip install 'switchyard-client[langchain]'`.
"""
