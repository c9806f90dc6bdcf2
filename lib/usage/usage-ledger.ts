import { ArnFormat, Duration, RemovalPolicy, Resource, Stack } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct, type IConstruct } from 'constructs';
import { requireDuration } from '../private/validation';

/** Index of a month's accounts, and of the keys that were made after the deployment. */
const LISTING_INDEX = 'by-month';

/** Where usage is kept and limits are counted. */
export interface IUsageLedger extends IConstruct {
  /** The DynamoDB table's name. */
  readonly tableName: string;

  /** The DynamoDB table's ARN. */
  readonly tableArn: string;

  /** How long usage is kept after its month. */
  readonly retention: Duration;

  /** Lets a gateway's function reserve, settle and read. */
  grantUse(grantee: IGrantable): Grant;

  /** Lets somebody read usage: `llm-serving usage`. */
  grantRead(grantee: IGrantable): Grant;

  /** Lets somebody read usage, and write which key belongs to whom: `llm-serving keys`. */
  grantManageKeys(grantee: IGrantable): Grant;

  /** Lets somebody pause consumers, teams and models, resume them, and see which are: `llm-serving pause`. */
  grantPause(grantee: IGrantable): Grant;
}

/** Properties of a usage ledger. */
export interface UsageLedgerProps {
  /**
   * The table's name.
   *
   * @default - made up by CloudFormation
   */
  readonly tableName?: string;

  /**
   * How long the usage of a month is kept after that month, in whole days: each request's tokens and cost, by consumer,
   * end user, feature, model and backend. 1 to 3650 days.
   *
   * @default Duration.days(400)
   */
  readonly retention?: Duration;

  /**
   * The key that the table is encrypted with. Each request then uses it, which KMS charges for.
   *
   * @default - a key of DynamoDB's own
   */
  readonly encryptionKey?: IKey;

  /**
   * What becomes of the table when it is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * Whether DynamoDB refuses to delete the table.
   *
   * @default - true unless the table goes with the stack
   */
  readonly deletionProtection?: boolean;
}

/** Attributes of a ledger that exists already. */
export interface UsageLedgerAttributes {
  /** The DynamoDB table's ARN. */
  readonly tableArn: string;

  /**
   * The key that the table is encrypted with.
   *
   * @default - a key of DynamoDB's own
   */
  readonly encryptionKey?: IKey;

  /**
   * How long usage is kept after its month.
   *
   * @default Duration.days(400)
   */
  readonly retention?: Duration;
}

const DEFAULT_RETENTION = Duration.days(400);

/**
 * What consumers, teams, end users and features used and spent, and what they may: a DynamoDB table, paid by request, in
 * one region. Several gateways may have the same one; their consumers then share budgets by name.
 */
export class UsageLedger extends Resource implements IUsageLedger {
  /** Takes up a table that another ledger made. */
  public static fromUsageLedgerAttributes(scope: Construct, id: string, attrs: UsageLedgerAttributes): IUsageLedger {
    return new ImportedLedger(scope, id, attrs);
  }

  /** The table. */
  public readonly table: Table;

  /** The DynamoDB table's name. */
  public readonly tableName: string;

  /** The DynamoDB table's ARN. */
  public readonly tableArn: string;

  /** How long usage is kept after its month. */
  public readonly retention: Duration;

  private readonly access: LedgerAccess;

  constructor(scope: Construct, id: string, props: UsageLedgerProps = {}) {
    super(scope, id);
    this.retention = props.retention ?? DEFAULT_RETENTION;
    requireDuration('retention', this.retention, Duration.days(1), Duration.days(3650));
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    // Not a global table: two regions that count by themselves would each spend the budget.
    this.table = new Table(this, 'Table', {
      tableName: props.tableName,
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'x',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      ...(props.encryptionKey && {
        encryption: TableEncryption.CUSTOMER_MANAGED,
        encryptionKey: props.encryptionKey,
      }),
      deletionProtection: props.deletionProtection ?? removalPolicy !== RemovalPolicy.DESTROY,
      removalPolicy,
    });
    this.table.addGlobalSecondaryIndex({
      indexName: LISTING_INDEX,
      partitionKey: { name: 'm', type: AttributeType.STRING },
      sortKey: { name: 'pk', type: AttributeType.STRING },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    this.tableName = this.table.tableName;
    this.tableArn = this.table.tableArn;
    this.access = new LedgerAccess(this.tableArn, props.encryptionKey);
  }

  /** Lets a gateway's function reserve, settle and read. */
  public grantUse(grantee: IGrantable): Grant {
    return this.access.use(grantee);
  }

  /** Lets somebody read usage: `llm-serving usage`. */
  public grantRead(grantee: IGrantable): Grant {
    return this.access.read(grantee);
  }

  /** Lets somebody read usage, and write which key belongs to whom: `llm-serving keys`. */
  public grantManageKeys(grantee: IGrantable): Grant {
    return this.access.manageKeys(grantee);
  }

  /** Lets somebody pause consumers, teams and models, resume them, and see which are: `llm-serving pause`. */
  public grantPause(grantee: IGrantable): Grant {
    return this.access.pause(grantee);
  }
}

class ImportedLedger extends Construct implements IUsageLedger {
  public readonly tableName: string;
  public readonly tableArn: string;
  public readonly retention: Duration;
  private readonly access: LedgerAccess;

  constructor(scope: Construct, id: string, attrs: UsageLedgerAttributes) {
    super(scope, id);
    this.tableArn = attrs.tableArn;
    this.tableName = Stack.of(this).splitArn(attrs.tableArn, ArnFormat.SLASH_RESOURCE_NAME).resourceName ?? '';
    this.retention = attrs.retention ?? DEFAULT_RETENTION;
    this.access = new LedgerAccess(this.tableArn, attrs.encryptionKey);
  }

  public grantUse(grantee: IGrantable): Grant {
    return this.access.use(grantee);
  }

  public grantRead(grantee: IGrantable): Grant {
    return this.access.read(grantee);
  }

  public grantManageKeys(grantee: IGrantable): Grant {
    return this.access.manageKeys(grantee);
  }

  public grantPause(grantee: IGrantable): Grant {
    return this.access.pause(grantee);
  }
}

/** Who may do what: no more than each needs. */
class LedgerAccess {
  constructor(
    private readonly tableArn: string,
    private readonly key?: IKey,
  ) {}

  /** Nothing is ever deleted by the path, and the index isn't its business. */
  public use(grantee: IGrantable): Grant {
    this.key?.grantEncryptDecrypt(grantee);
    return this.grant(grantee, ['UpdateItem', 'PutItem', 'GetItem', 'Query'], [this.tableArn]);
  }

  public read(grantee: IGrantable): Grant {
    this.key?.grantDecrypt(grantee);
    return this.grant(grantee, ['GetItem', 'Query'], this.withIndex());
  }

  public manageKeys(grantee: IGrantable): Grant {
    this.key?.grantEncryptDecrypt(grantee);
    this.grant(grantee, ['PutItem', 'DeleteItem'], [this.tableArn], {
      'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['key#*'] },
    });
    return this.read(grantee);
  }

  /** One item, and no other. */
  public pause(grantee: IGrantable): Grant {
    this.key?.grantEncryptDecrypt(grantee);
    return this.grant(grantee, ['GetItem', 'UpdateItem'], [this.tableArn], {
      'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['pauses'] },
    });
  }

  private withIndex(): string[] {
    return [this.tableArn, `${this.tableArn}/index/${LISTING_INDEX}`];
  }

  private grant(
    grantee: IGrantable,
    actions: string[],
    resourceArns: string[],
    conditions?: Record<string, Record<string, unknown>>,
  ): Grant {
    return Grant.addToPrincipal({
      ...{ grantee, resourceArns },
      actions: actions.map((action) => `dynamodb:${action}`),
      ...(conditions && { conditions }),
    });
  }
}
