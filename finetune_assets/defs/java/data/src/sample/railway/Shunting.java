/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;

/**
 * Sorts a train with one siding only, as a puzzle for apprentices.
 *
 * @param <W> what stands for a wagon
 */
final class Shunting<W extends Comparable<W>> {

  private final Deque<W> siding = new ArrayDeque<>();
  private final List<W> departed = new ArrayList<>();

  /** Pushes a wagon into the siding, after every wagon in front of it that must leave earlier has left. */
  void arrive(W wagon) {
    while (!siding.isEmpty() && siding.peek().compareTo(wagon) <= 0) {
      departed.add(siding.pop());
    }
    siding.push(wagon);
  }

  /**
   * Lets the rest out.
   *
   * @return the wagons in the order in which they left
   */
  List<W> depart() {
    while (!siding.isEmpty()) {
      departed.add(siding.pop());
    }
    return Collections.unmodifiableList(departed);
  }

  /** Tells whether the one siding was enough to bring the train in order. */
  boolean isSorted() {
    for (int place = 1; place < departed.size(); place++) {
      if (departed.get(place - 1).compareTo(departed.get(place)) > 0) {
        return false;
      }
    }
    return true;
  }
}
