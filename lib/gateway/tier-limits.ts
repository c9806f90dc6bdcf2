/** What becomes of a request that the month's budget has no room for. */
export class BudgetAction {
  /** It is refused: 429 with OpenAI's `insufficient_quota`. */
  public static block(): BudgetAction {
    return new BudgetAction('block');
  }

  /**
   * Another model answers instead, and what it costs is counted, but not limited. Its name is in `x-llm-model`.
   *
   * @param modelName name or alias of a model of the gateway; the tier may use it even if `allowedModels` lacks it
   */
  public static downgrade(modelName: string): BudgetAction {
    return new BudgetAction('downgrade', modelName);
  }

  /** It is answered; thresholds are told of nevertheless. */
  public static notifyOnly(): BudgetAction {
    return new BudgetAction('notify');
  }

  private constructor(
    /** @internal */
    public readonly _action: 'block' | 'downgrade' | 'notify',
    /** @internal */
    public readonly _modelName?: string,
  ) {}
}

/** What becomes of requests while the ledger doesn't answer. */
export enum LedgerUnavailable {
  /** They are refused with 503: nothing is spent that isn't counted. */
  REFUSE = 'refuse',
  /** They are answered; what they cost is counted as soon as the ledger answers again. */
  ALLOW = 'allow',
}
