/** Loaded into a node before its code: its clock is off by the ms that a file says. */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 50;
const { CHAOS_SKEW_FILE: file } = process.env;
const trueNow = Date.now;
let offMs = 0;
let lookedAt = 0;

Date.now = () => {
  const now = trueNow();
  if (file !== undefined && now - lookedAt >= LOOK_EVERY_MS) {
    lookedAt = now;
    offMs = Number(readFileSync(file, 'utf8'));
  }
  return Math.round(now + offMs);
};
