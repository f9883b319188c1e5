/** What is measured, by size of the answer: the tool of the bench's server, and the bytes that its answer has at least. */
export const SIZES = {
  '0.2 KB': ['json-0.2k', 200],
  '10 KB': ['json-10k', 10_000],
  '100 KB': ['json-100k', 100_000],
  '1 MB': ['json-1m', 1_000_000],
};
export const LIST = 'tools/list, 1,000 tools';
export const CASES = [...Object.keys(SIZES), LIST];
