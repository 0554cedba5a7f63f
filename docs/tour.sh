#!/bin/sh
# Five minutes with the API of the running demo (make demo). Ends with status 1 at the first answer that is
# not what it should be. Running it again within a day answers the same and does nothing twice.
set -eu
cd "$(dirname "$0")/.."

BASE=${BASE:-http://localhost:${PORT:-8000}/api/v1/enterprise-billing}
VAR=${BILLING_VAR:-var}
KEY=$(cat "$VAR/demo-key.txt")
PYTHON=${TOUR_PYTHON:-.venv/bin/python}

get() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $KEY" "$BASE/$1"; }
post() { # post <address> <idempotency key> <body>
    curl --silent --show-error --fail-with-body -H "Authorization: Bearer $KEY" \
        -H "Content-Type: application/json" -H "Idempotency-Key: tour-$2" -d "$3" "$BASE/$1"
}
pick() { "$PYTHON" -c "import json,sys; print(eval('data' + sys.argv[1], {'data': json.load(sys.stdin)}))" "$1"; }
say() { printf '\n== %s\n' "$*"; }

say "1. Sakura Trading could not be billed: the reason is in the billing run"
SAKURA=$(get "entities?code=SAKURA" | pick "['results'][0]['id']")
NORTHWIND=$(get "entities?code=NORTHWIND" | pick "['results'][0]['id']")
echo "Sakura Trading is $SAKURA"

say "2. Create a department; whoever used it pays for it"
DEPARTMENT=$(post departments new-department '{"entity": "'"$SAKURA"'", "code": "TOUR", "name": "Touring",
    "cost_centre": "CC-9000", "starts_on": "2026-01-01"}' | pick "['id']")
echo "Touring is $DEPARTMENT"

say "3. Set the missing prices in JPY (a currency without decimals)"
for PRICED in COMPUTE:6.8 STORAGE:0.005 NETWORK:8.5; do
    PRODUCT=$(get "products?code=${PRICED%:*}" | pick "['results'][0]['id']")
    post "products/$PRODUCT/prices" "price-${PRICED%:*}" '{"currency": "JPY", "model": "per_unit",
        "unit_price": "'"${PRICED#*:}"'", "starts_on": "2026-01-01"}' | pick "['unit_price']"
done

say "4. Send usage: a repeat is told apart and counts once"
USAGE='{"events": [{"source": "tour", "transaction_id": "tour-1", "entity": "'"$SAKURA"'",
    "department": "'"$DEPARTMENT"'", "meter": "COMPUTE", "occurred_at": "2026-10-20T12:00:00Z", "quantity": "1000"}]}'
post usage/events usage "$USAGE" | pick "['results'][0]['status']"
post usage/events usage-again "$USAGE" | pick "['results'][0]['status']"

say "5. Check a quota: Alpinum has used nearly all of its support hours"
ALPINUM=$(get "entities?code=ALPINUM" | pick "['results'][0]['id']")
SUPPORT=$(get "meters?code=SUPPORT" | pick "['results'][0]['id']")
get "quotas/check?entity=$ALPINUM&meter=$SUPPORT" | pick "['remaining']"

say "6. Run billing: Sakura gets its invoice, everybody else has theirs already"
"$PYTHON" manage.py run_billing --seller NORTHWIND --as-of 2026-11-01

say "7. Read the invoice, its shares by department, and the proof that everything agrees"
INVOICE=$(get "invoices?customer=$SAKURA" | pick "['results'][0]['id']")
get "invoices/$INVOICE?expand=lines" |
    pick "['number'] + ': ' + data['total_amount'] + ' ' + data['currency'] + ' on ' + str(len(data['lines'])) + ' lines'"
get "departments/$DEPARTMENT/allocations" | pick "['results'][0]['net_amount'] + ' JPY for Touring'"
get "invoices/$INVOICE/allocations" |
    pick "['checks'] and '\n'.join(f\"{c['name']}: {c['expected']} = {c['found']}\" for c in data['checks'])"

say "8. Record a payment: it settles the oldest due invoice first"
post payments payment '{"customer": "'"$SAKURA"'", "amount": "5000", "currency": "JPY",
    "received_on": "2026-11-02", "method": "bank_transfer", "reference": "TOUR-1"}' |
    pick "['applications'][0]['amount'] + ' JPY applied to ' + data['applications'][0]['invoice_number']"

say "9. The trial balance: debits equal credits, in every currency"
get "ledger/trial-balance?entity=$NORTHWIND&currency=JPY" | "$PYTHON" -m json.tool

say "10. Subscribe: the preview is what is charged; then look at what more seats would cost"
WERKE=$(get "entities?code=FALKEN-WERKE" | pick "['results'][0]['id']")
TEAM=$(get "plans?code=TEAM" | pick "['results'][0]['id']")
TERMS='{"entity": "'"$WERKE"'", "plan": "'"$TEAM"'", "quantity": "12", "trial_days": 0, "reference": "TOUR-SEATS"}'
SUBSCRIPTION=$(post subscriptions subscription "$TERMS" | pick "['id']")
get "subscriptions/$SUBSCRIPTION/charges" |
    pick "['results'][-1]['amount'] + ' EUR: ' + ' + '.join(f\"{s['quantity']} × {s['unit_price']}\" for s in data['results'][-1]['derivation']['steps'])"
post "subscriptions/$SUBSCRIPTION/preview-change" more-seats '{"quantity": "60"}' |
    pick "['total_amount'] + ' EUR now, then ' + data['next_total_amount'] + ' EUR on ' + data['next_on']"
get "entities/$WERKE/subscriptions" | pick "['results'][0]['plan_code']"

say "11. Prove the books"
"$PYTHON" manage.py verify_ledger | tail -1
"$PYTHON" manage.py verify_invariants | tail -1
