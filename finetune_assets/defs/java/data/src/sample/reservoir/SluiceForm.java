/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a sluice is asked for; it has grown with every wish of the reservoir. */
public class SluiceForm {

  String gauge;
  String dam;
  String applicant;
  String telephone;
  String remarks;
  int turns;
  LocalDate wantedFrom;

  SluiceForm(
      String gauge, String dam, String applicant, String telephone, String remarks, int turns,
      LocalDate wantedFrom) {
    this.gauge = gauge;
    this.dam = dam;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.turns = turns;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return gauge != null && dam != null && applicant != null && wantedFrom != null;
  }

  public Sluice toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Sluice(gauge, dam, turns, first);
  }

  public String summary() {
    return "%s wants %d turns of the wheel in %s".formatted(applicant, turns, dam);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (gauge == null) {
      names.add("gauge");
    }
    if (dam == null) {
      names.add("dam");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
