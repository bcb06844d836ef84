/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

import java.util.Optional;

/** The stages that a berth goes through in the harbour, in their usual order. */
public enum BerthState {
  /** The berth is free. */
  FREE(true),
  /** The berth is booked. */
  BOOKED(false),
  /** The berth is occupied. */
  OCCUPIED(false),
  /** The berth is closed. */
  CLOSED(false);

  private final boolean open;

  BerthState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a berth in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a berth that usually follows; the whole way is free, booked, occupied, closed.
   *
   * @return the next stage of the berth, or nothing once it is closed
   */
  public Optional<BerthState> next() {
    BerthState[] berthStates = values();
    int following = ordinal() + 1;
    return following < berthStates.length ? Optional.of(berthStates[following]) : Optional.empty();
  }
}
