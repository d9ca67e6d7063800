/** A line of CSV as RFC 4180 has it; what a spreadsheet would run as a formula is told to be text. */
export function csvLine(fields: readonly (string | number)[]): string {
  return fields.map(fieldOf).join(',');
}

function fieldOf(field: string | number): string {
  if (typeof field === 'number') return String(field);
  const text = /^[=+\-@\t\r]/.test(field) ? `'${field}` : field;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
