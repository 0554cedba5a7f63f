"""Who may do what in the catalogue. Setting prices is not for those who bill them."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, CM, FC, VW

declare("subscriptions.view_product", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.view_price", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.create_product", CM, FC, scope="catalogue:write")
declare("subscriptions.update_product", CM, FC, scope="catalogue:write")
declare("subscriptions.create_price", CM, FC, scope="catalogue:write")

# Endpoint 6 of the table of roles: whom it lets read, it lets read the subscriptions themselves.
declare("subscriptions.view_subscription", VW, BO, CM, AP, FC, AU, scope="subscriptions:read")
declare("subscriptions.create_subscription", BO, CM, FC, scope="subscriptions:write")
declare("subscriptions.change_subscription_terms", BO, CM, FC, scope="subscriptions:write")
declare("subscriptions.pause_subscription", BO, CM, FC, scope="subscriptions:write")
declare("subscriptions.cancel_subscription", CM, FC, scope="subscriptions:write")
declare("subscriptions.view_plan", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.create_plan", CM, FC, scope="catalogue:write")
declare("subscriptions.update_plan", CM, FC, scope="catalogue:write")
READERS = (VW, BO, CM, FC, AU)
declare("subscriptions.view_license", *READERS, scope="licenses:read")
declare("subscriptions.view_licenseassignment", *READERS, scope="licenses:read")
declare("subscriptions.view_licenseterms", *READERS, scope="licenses:read")
declare("subscriptions.create_license", CM, FC, scope="licenses:write")
declare("subscriptions.update_license", CM, FC, scope="licenses:write")
declare("subscriptions.revoke_license", CM, FC, scope="licenses:write")
declare("subscriptions.assign_license", BO, CM, FC, scope="licenses:write")
# The licensed product's own key carries this scope and no other.
declare("subscriptions.validate_license", *READERS, scope="licenses:validate")
