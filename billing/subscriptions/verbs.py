"""Who may do what in the catalogue. Setting prices is not for those who bill them."""

from billing.access.roles import AU, BO, CM, FC, VW
from billing.access.verbs import declare

declare("subscriptions.view_product", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.view_price", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.create_product", CM, FC, scope="catalogue:write")
declare("subscriptions.update_product", CM, FC, scope="catalogue:write")
declare("subscriptions.create_price", CM, FC, scope="catalogue:write")

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
