/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.util.Optional;

/** The stages that a cable goes through in the ropeworks, in their usual order. */
public enum CableState {
  /** The cable is spun. */
  SPUN(true),
  /** The cable is laid. */
  LAID(true),
  /** The cable is tarred. */
  TARRED(true),
  /** The cable is shipped. */
  SHIPPED(false);

  private final boolean open;

  CableState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a cable in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a cable that usually follows; the whole way is spun, laid, tarred, shipped.
   *
   * @return the next stage of the cable, or nothing once it is shipped
   */
  public Optional<CableState> next() {
    CableState[] cableStates = values();
    int following = ordinal() + 1;
    return following < cableStates.length ? Optional.of(cableStates[following]) : Optional.empty();
  }
}
