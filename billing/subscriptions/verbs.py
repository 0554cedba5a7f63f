"""Who may do what in the catalogue. Setting prices is not for those who bill them."""

from billing.access.roles import AU, BO, CM, FC, VW
from billing.access.verbs import declare

declare("subscriptions.view_product", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.view_price", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.create_product", CM, FC, scope="catalogue:write")
declare("subscriptions.update_product", CM, FC, scope="catalogue:write")
declare("subscriptions.create_price", CM, FC, scope="catalogue:write")
declare("subscriptions.view_plan", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("subscriptions.create_plan", CM, FC, scope="catalogue:write")
declare("subscriptions.update_plan", CM, FC, scope="catalogue:write")
