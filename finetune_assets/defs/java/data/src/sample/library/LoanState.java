/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.util.Optional;

/** The stages that a loan goes through in the library, in their usual order. */
public enum LoanState {
  /** The loan is reserved. */
  RESERVED(true),
  /** The loan is lent. */
  LENT(true),
  /** The loan is overdue. */
  OVERDUE(false),
  /** The loan is returned. */
  RETURNED(false);

  private final boolean open;

  LoanState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a loan in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a loan that usually follows; the whole way is reserved, lent, overdue, returned.
   *
   * @return the next stage of the loan, or nothing once it is returned
   */
  public Optional<LoanState> next() {
    LoanState[] loanStates = values();
    int following = ordinal() + 1;
    return following < loanStates.length ? Optional.of(loanStates[following]) : Optional.empty();
  }
}
