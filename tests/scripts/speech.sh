#!/usr/bin/env bash
# Makes what virtual callers and agents say: 8 kHz, 16 bit, one channel, spoken by espeak-ng.
# Usage: speech.sh FOLDER. Files that are there already are kept.
set -euo pipefail

folder="${1:?usage: speech.sh FOLDER}"
mkdir -p "$folder"

say() { # say NAME VOICE WORDS
  local file="$folder/$1.wav"
  if [[ -s "$file" ]]; then return; fi
  espeak-ng -v "$2" -s 150 -w "$file.raw.wav" "$3"
  sox "$file.raw.wav" -r 8000 -c 1 -b 16 -e signed-integer "$file.new.wav" gain -n -3
  rm "$file.raw.wav"
  mv "$file.new.wav" "$file"
}

say caller-ru ru "Добрый день, это компания Северный кабель. Хочу уточнить, когда отгрузят наш заказ."
say caller-en en "Good afternoon, this is Northern Cable. I would like to know when our order will be shipped."
say agent-ru ru+f3 "Здравствуйте, меня зовут Анна. Ваш заказ готов, отгрузка завтра в девять утра."
say agent-en en+f3 "Hello, this is Anna. Your order is ready and will leave the warehouse tomorrow at nine."
say stranger-ru ru+m3 "Здравствуйте. Увидел вашу рекламу, сколько стоит силовой кабель, сто метров?"
say stranger-en en+m3 "Hello. I saw your advertisement. What is the price of a hundred metres of power cable?"
say colleague-ru ru+f2 "Алло, отдел продаж. Коллега сейчас занят, помогу вам я."
say colleague-en en+f2 "Hello, sales department. My colleague is busy, but I can help you."
say sales-ru ru+f4 "Добрый день, отдел продаж. Сто метров силового кабеля есть на складе, счёт пришлю сегодня."
say sales-en en+f4 "Good afternoon, sales department. A hundred metres are in stock, I will send you the invoice today."
