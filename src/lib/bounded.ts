/** Of the name of a user or a group, in characters. */
const MOST_CHARACTERS = 256;

/** `text` if it can be a name: not empty, not too long, without control characters and line breaks; otherwise undefined. */
export function bounded(text: string): string | undefined {
  return text === '' || text.length > MOST_CHARACTERS || /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text)
    ? undefined
    : text;
}
