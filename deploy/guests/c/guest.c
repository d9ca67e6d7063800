/* Counts the words of its input. */
#include "infrafabric.h"

static if_bytes if_run(if_bytes input, const char **error) {
  static char digits[10];
  const char *text = input.at;
  if_u32 words = 0;
  int is_in_word = 0;

  if_log(IF_INFO, "counting");
  for (if_u32 i = 0; i < input.length; i++) {
    int is_letter = (if_u8)text[i] > 32;
    if (is_letter && !is_in_word) words++;
    is_in_word = is_letter;
  }
  if (input.length == 0) *error = "there is no input";

  if_u32 at = sizeof digits;
  do {
    digits[--at] = '0' + words % 10;
    words /= 10;
  } while (words);
  return (if_bytes){digits + at, sizeof digits - at};
}
