/**
 * The ledger counts in nanodollars, whole numbers: no sum drifts, however many requests it is made of. A token costs tens
 * of them at the least, and a double holds up to nine million dollars of them exactly.
 */
const NANO_PER_USD = 1e9;

export const toNano = (usd: number): number => Math.round(usd * NANO_PER_USD);

export const toUsd = (nano: number): number => nano / NANO_PER_USD;
