/** Bounds that both sides of the pipe keep: the child to tell the guest, the parent because it does not trust the child. */

/** Arguments of one host call, all together. */
export const CALL_BYTES_MAX = 1024 * 1024;
/** What a frame has besides its payload: lengths, names, a message, a stack. */
export const FRAME_OVERHEAD_BYTES = 64 * 1024;
/** A log line costs this besides its text, so that empty ones are not free. */
export const LOG_LINE_BYTES = 16;
