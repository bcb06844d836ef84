/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.util.Optional;

/** The stages that a remedy goes through in the pharmacy, in their usual order. */
public enum RemedyState {
  /** The remedy is ordered. */
  ORDERED(true),
  /** The remedy is mixed. */
  MIXED(true),
  /** The remedy is checked. */
  CHECKED(true),
  /** The remedy is dispensed. */
  DISPENSED(false);

  private final boolean open;

  RemedyState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a remedy in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a remedy that usually follows; the whole way is ordered, mixed, checked, dispensed.
   *
   * @return the next stage of the remedy, or nothing once it is dispensed
   */
  public Optional<RemedyState> next() {
    RemedyState[] remedyStates = values();
    int following = ordinal() + 1;
    return following < remedyStates.length ? Optional.of(remedyStates[following]) : Optional.empty();
  }
}
