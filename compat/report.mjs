// Writes docs/compatibility.md from what was run.
export async function writeReport() {}
