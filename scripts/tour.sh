#!/usr/bin/env bash
# A tour of the users service with curl: each command as one would type it, then the real answer.
#
# tour.sh URL
# Ends with 1 when an answer's status, or what its body must hold, is not as promised.
set -euo pipefail

url=$1
step=0
wrong=0
answer= # head and body of the last answer

# visit TITLE STATUS TEXT CURL-ARGUMENTS…
visit() {
    local title=$1 status=$2 text=$3 word got
    shift 3
    step=$((step + 1))
    printf '\n%d. %s\n$ curl -i' "$step" "$title"
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=@-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    answer=$(curl -sS -i --max-time 10 "$@" 2>&1 | tr -d '\r') || true
    printf '%s\n' "$answer"
    got=$(printf '%s\n' "$answer" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p')
    if [[ $got != "$status" ]]; then
        printf '   ✗ promised %s, got %s\n' "$status" "${got:-no answer}"
    elif [[ $answer != *"$text"* ]]; then
        printf '   ✗ promised a body with: %s\n' "$text"
    else
        return 0
    fi
    wrong=$((wrong + 1))
}

json='content-type: application/json'
email="ada-$(date +%s)-$$@example.com"

visit 'Create a user' 201 "$email" \
    "$url/api/users" -H "$json" -d "{\"email\":\"$email\",\"name\":\"Ada Lovelace\"}"
user=$url$(printf '%s\n' "$answer" | sed -n 's/^[Ll]ocation: *//p')
visit 'Read it' 200 '"name":"Ada Lovelace"' "$user"
visit 'List users, newest first' 200 "$email" "$url/api/users?limit=3"
visit 'Change the name' 200 '"name":"Ada King"' -X PUT "$user" -H "$json" -d '{"name":"Ada King"}'
visit 'The same email again' 409 'Email already exists' \
    "$url/api/users" -H "$json" -d "{\"email\":\"$email\",\"name\":\"Somebody Else\"}"
visit 'Not an email' 400 'Invalid email format' \
    "$url/api/users" -H "$json" -d '{"email":"ada at example","name":"Ada"}'
visit 'A user who does not exist' 404 'User not found' \
    "$url/api/users/00000000-0000-7000-8000-000000000000"

printf '\ntour: %d of %d answers as promised\n' "$((step - wrong))" "$step"
((wrong == 0))
