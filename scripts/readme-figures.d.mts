export function tablesOf(page: string): Record<string, Record<string, Record<string, string>>>;
export function readmeFigures(report: string, comparison: string): string;
export function summaryFigures(report: string): string;
export function withFigures(page: string, figures: string): string;
export function pages(): Promise<Record<string, string>>;
