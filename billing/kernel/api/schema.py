from drf_spectacular.openapi import AutoSchema


class BillingSchema(AutoSchema):
    """The OpenAPI document, with what every address of this API has in common."""
