#!/usr/bin/env bash
# A tour of the shop with curl: each command as one would type it, then the real answer.
#
# tour.sh URL ADMIN-TOKEN
# In a command, $ada and $admin stand for tokens: Ada's comes from her login, the other is given.
# Ends with 1 when an answer's status, or what its body must hold, is not as promised.
# shellcheck disable=SC2016 # the tour shows the names of variables, not what they hold
set -euo pipefail

url=$1
admin=$2
ada=
step=0
wrong=0
answer= # head and body of the last answer
patience=0 # seconds that an answer has to become as promised

# visit TITLE STATUS TEXT CURL-ARGUMENTS…
visit() {
    local title=$1 status=$2 text=$3 word got=
    local -a command=()
    shift 3
    step=$((step + 1))
    printf '\n%d. %s\n$ curl -i' "$step" "$title"
    for word in "$@"; do
        case $word in
        *'$ada'* | *'$admin'*) printf ' "%s"' "$word" ;;
        *[!A-Za-z0-9_./:=@-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
        word=${word//'$ada'/$ada}
        command+=("${word//'$admin'/$admin}")
    done
    printf '\n'
    ask "$status" "$text" "${command[@]}"
    printf '%s\n' "$answer"
    if [[ $got != "$status" ]]; then
        printf '   ✗ promised %s, got %s\n' "$status" "${got:-no answer}"
    elif [[ $answer != *"$text"* ]]; then
        printf '   ✗ promised a body with: %s\n' "$text"
    else
        return 0
    fi
    wrong=$((wrong + 1))
}

# later TITLE STATUS TEXT CURL-ARGUMENTS…: the same for what becomes true in a moment
later() {
    local patience=30
    visit "$@"
}

# ask STATUS TEXT CURL-ARGUMENTS…: again and again, until the answer is as promised or patience ends
ask() {
    local status=$1 text=$2 until
    shift 2
    until=$(($(date +%s%N) + patience * 1000000000))
    while :; do
        answer=$(curl -sS -i --max-time 30 "$@" 2>&1 | tr -d '\r') || true
        got=$(printf '%s\n' "$answer" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p')
        [[ $got == "$status" && $answer == *"$text"* ]] && return
        (($(date +%s%N) < until)) || return 0
        sleep 0.2
    done
}

# field NAME: the text of a field of the last answer
field() {
    printf '%s\n' "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

json='content-type: application/json'
# shellcheck disable=SC2016 # they are shown as they are typed
as_ada='authorization: Bearer $ada' as_admin='authorization: Bearer $admin'
email="ada-$(date +%s)-$$@example.com"

visit 'Without a token there is nothing to see' 401 'error' "$url/api/products"
visit 'Register' 201 "$email" "$url/api/auth/register" -H "$json" \
    -d "{\"email\":\"$email\",\"name\":\"Ada Lovelace\",\"password\":\"correct horse battery\"}"
user=$url$(printf '%s\n' "$answer" | sed -n 's/^[Ll]ocation: *//p')
visit 'Log in; the token is $ada from here on' 200 '"tokenType":"Bearer"' "$url/api/auth/login" -H "$json" \
    -d "{\"email\":\"$email\",\"password\":\"correct horse battery\"}"
ada=$(field token)
visit 'A wrong password' 401 'Invalid email or password' "$url/api/auth/login" -H "$json" \
    -d "{\"email\":\"$email\",\"password\":\"wrong horse battery\"}"
visit 'Read oneself' 200 '"name":"Ada Lovelace"' "$user" -H "$as_ada"
visit 'Change the name' 200 '"name":"Ada King"' -X PUT "$user" -H "$as_ada" -H "$json" -d '{"name":"Ada King"}'
visit 'Somebody else, whether there or not' 403 'error' \
    "$url/api/users/00000000-0000-7000-8000-000000000000" -H "$as_ada"
visit 'Customers make no products' 403 'error' "$url/api/products" -H "$as_ada" -H "$json" \
    -d '{"name":"Tea","price":19.99,"inventory":100}'
visit 'Admins do: archipel token sign made $admin' 201 '"price":19.99' "$url/api/products" -H "$as_admin" -H "$json" \
    -d '{"name":"Tea","price":19.99,"inventory":100}'
product=$url$(printf '%s\n' "$answer" | sed -n 's/^[Ll]ocation: *//p')
visit 'Search the products, newest first' 200 '"name":"Tea"' "$url/api/products?q=TEA&limit=2" -H "$as_ada"
visit 'A third decimal is no price' 400 'price' -X PUT "$product" -H "$as_admin" -H "$json" -d '{"price":19.999}'
visit 'Stock is for the service orders, not even for admins' 403 'error' "$product/reserve" -H "$as_admin" -H "$json" \
    -d '{"quantity":1,"orderId":"00000000-0000-7000-8000-000000000000"}'
id=${user##*/}
product_id=${product##*/}
visit 'Order two of them' 201 '"total":39.98' "$url/api/orders" -H "$as_ada" -H "$json" -H "idempotency-key: $email" \
    -d "{\"userId\":\"$id\",\"items\":[{\"productId\":\"$product_id\",\"quantity\":2}]}"
order=$url$(printf '%s\n' "$answer" | sed -n 's/^[Ll]ocation: *//p')
visit 'The same again, by a client that missed the answer: the same order' 201 "${order##*/}" "$url/api/orders" -H "$as_ada" \
    -H "$json" -H "idempotency-key: $email" \
    -d "{\"userId\":\"$id\",\"items\":[{\"productId\":\"$product_id\",\"quantity\":2}]}"
visit 'The stock has fallen, once' 200 '"inventory":98' "$product" -H "$as_ada"
visit 'More than there is' 409 'Insufficient inventory' "$url/api/orders" -H "$as_ada" -H "$json" \
    -d "{\"userId\":\"$id\",\"items\":[{\"productId\":\"$product_id\",\"quantity\":99}]}"
later 'A notification appears' 200 '"kind":"order.created"' "$url/api/notifications?userId=$id" -H "$as_ada"
visit 'The profile: Ada and her orders, gathered from two services' 200 '"total":39.98' "$user/profile" -H "$as_ada"
visit 'Cancel the order' 200 '"status":"cancelled"' -X PATCH "$order/status" -H "$as_ada" -H "$json" -d '{"status":"cancelled"}'
visit 'What is cancelled stays so' 409 'error' -X PATCH "$order/status" -H "$as_admin" -H "$json" -d '{"status":"shipped"}'
later 'The stock returns' 200 '"inventory":100' "$product" -H "$as_ada"
later 'And a second notification' 200 '"kind":"order.status_changed"' "$url/api/notifications?userId=$id" -H "$as_ada"
visit 'All users, for admins' 200 "$email" "$url/api/users?limit=3" -H "$as_admin"
visit 'A user who does not exist, for admins' 404 'User not found' \
    "$url/api/users/00000000-0000-7000-8000-000000000000" -H "$as_admin"

printf '\ntour: %d of %d answers as promised\n' "$((step - wrong))" "$step"
((wrong == 0))
