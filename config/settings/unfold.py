"""The finance console's looks and its menu. A page appears once its app has one and the reader may see it."""

from django.templatetags.static import static

# Group -> (title, Material symbol, app label, model name)
CONSOLE_MENU = {
    "Billing": [
        ("Invoices", "receipt_long", "invoicing", "invoice"),
        ("Credit notes", "undo", "invoicing", "creditnote"),
        ("Consolidated invoices", "account_tree", "invoicing", "consolidatedinvoice"),
        ("Billing runs", "play_circle", "invoicing", "billingrun"),
        ("Customer accounts", "account_balance_wallet", "payments", "customeraccount"),
        ("Payments", "payments", "payments", "payment"),
        ("Discounts", "sell", "invoicing", "discount"),
        ("Discount grants", "redeem", "invoicing", "discountgrant"),
        ("Tax rates", "percent", "invoicing", "taxrate"),
        ("Tax exemptions", "verified", "invoicing", "taxexemption"),
        ("Exchange rates", "currency_exchange", "invoicing", "exchangerate"),
        ("Cost allocations", "call_split", "invoicing", "costallocation"),
        ("Allocation rules", "rule", "invoicing", "allocationrule"),
        ("Allocation runs", "published_with_changes", "invoicing", "allocationrun"),
        ("GL code mappings", "numbers", "invoicing", "glcodemapping"),
    ],
    "Dunning": [
        ("Cases", "gavel", "dunning", "dunningcase"),
        ("Steps taken", "checklist", "dunning", "dunningnotice"),
        ("Pauses", "pause_circle", "dunning", "dunningpause"),
        ("Late fees", "more_time", "dunning", "latefee"),
        ("Letters", "mail", "dunning", "dunningmail"),
        ("Policies", "rule", "dunning", "dunningpolicy"),
        ("Assignments", "assignment_ind", "dunning", "dunningassignment"),
        ("Dunning runs", "event_upcoming", "dunning", "dunningrun"),
    ],
    "Approvals": [
        ("My inbox", "inbox", "approvals", "inboxrequest"),
        ("Requests", "approval", "approvals", "approvalrequest"),
        ("Stuck", "block", "approvals", "stuckrequest"),
        ("Rules", "rule", "approvals", "approvalrule"),
        ("Stand-ins", "group", "approvals", "approvaldelegation"),
        ("Mails", "mail", "approvals", "approvalmail"),
    ],
    "Usage": [
        ("Events", "sensors", "usage", "usageevent"),
        ("Meters", "speed", "usage", "meter"),
        ("Quotas", "production_quantity_limits", "usage", "quota"),
        ("Quota alerts", "notifications_active", "usage", "quotaalert"),
    ],
    "Catalogue": [
        ("Subscriptions", "autorenew", "subscriptions", "subscription"),
        ("Products", "inventory_2", "subscriptions", "product"),
        ("Plans", "event_repeat", "subscriptions", "plan"),
        ("Prices", "sell", "subscriptions", "price"),
        ("Licences", "workspace_premium", "subscriptions", "license"),
    ],
    "Organisation": [
        ("Entities", "domain", "entities", "billingentity"),
        ("Departments", "account_tree", "entities", "department"),
        ("Role grants", "badge", "entities", "rolegrant"),
        ("Conflicting roles", "balance", "entities", "roleexception"),
        ("Users", "group", "access", "user"),
        ("API keys", "key", "access", "apikey"),
    ],
    "Ledger": [
        ("Journal", "menu_book", "ledger", "journalentry"),
        ("Accounts", "account_balance", "ledger", "ledgeraccount"),
        ("Balances", "balance", "ledger", "accountbalance"),
        ("Periods", "event_available", "ledger", "accountingperiod"),
    ],
    "System": [
        ("Audit trail", "history", "kernel", "auditentry"),
        ("Seals", "verified", "kernel", "auditseal"),
        ("Events told", "outbox", "kernel", "outboxevent"),
        ("Deliveries", "local_shipping", "kernel", "eventdelivery"),
        ("Jobs", "work_history", "kernel", "job"),
    ],
}

UNFOLD = {
    "SITE_TITLE": "Enterprise billing",
    "SITE_HEADER": "Enterprise billing",
    "SITE_SYMBOL": "receipt_long",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "STYLES": [lambda request: static("console.css")],
    "SITE_URL": None,
    "DASHBOARD_CALLBACK": "config.home.home",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.console.navigation",
    },
}
